// graphile-worker: one job an operation, in PostgreSQL, taken and finished in batches.
const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { deliver } = require("./work.cjs");

const preset = {
  worker: {
    connectionString: `postgres:///${process.env.PGDATABASE}`,
    concurrentJobs: 24,
    maxPoolSize: 25,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    // It would write a line for every job.
    logger: new Logger(() => (level, message) => ["error", "warning"].includes(level) && console.error(message)),
  },
};

async function enqueue(count) {
  const payload = JSON.parse(process.env.PAYLOAD);
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  await utils.addJobs(Array.from({ length: count }, (_, n) => ({ identifier: "deliver", payload: { operation: n + 1, payload } })));
  await utils.release();
}

process.argv[2] ? enqueue(Number(process.argv[2])) : run({ preset, taskList: { deliver } });
