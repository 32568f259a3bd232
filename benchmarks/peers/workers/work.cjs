// One operation, the way the users of a peer in Node would write it: undici with kept connections, and a pool of pg.
const { Pool } = require("pg");
const { Agent, request } = require("undici");

const UPDATE = {
  name: "outcome",
  text: "UPDATE outcome SET status = 'completed', status_code = $1, completed_at = clock_timestamp() WHERE id = $2",
};
const dispatcher = new Agent({ connections: 100 });
const pool = new Pool({ max: 10 });

exports.deliver = async ({ operation, payload }) => {
  const answer = await request(process.env.TARGET, {
    dispatcher,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(payload),
  });
  await answer.body.dump();
  await pool.query({ ...UPDATE, values: [answer.statusCode, operation] });
};
