// BullMQ: one job an operation, in Redis.
const { Queue, Worker } = require("bullmq");
const { deliver } = require("./work.cjs");

const [, password, path, db] = /^unix:\/\/:(.*)@(.*)\?db=(\d+)$/.exec(process.env.REDIS_URL);
const connection = { path: decodeURIComponent(path), password, db: Number(db), maxRetriesPerRequest: null };
const BATCH = 1000;

async function enqueue(count) {
  const queue = new Queue("peer", { connection, defaultJobOptions: { removeOnComplete: true } });
  const payload = JSON.parse(process.env.PAYLOAD);
  const jobs = Array.from({ length: count }, (_, n) => ({ name: "deliver", data: { operation: n + 1, payload } }));
  while (jobs.length) await queue.addBulk(jobs.splice(0, BATCH));
  await queue.close();
}

function work() {
  const worker = new Worker("peer", (job) => deliver(job.data), { connection, concurrency: 100 });
  process.on("SIGTERM", () => worker.close().then(() => process.exit()));
}

process.argv[2] ? enqueue(Number(process.argv[2])) : work();
