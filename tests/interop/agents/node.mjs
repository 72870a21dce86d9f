// The agents of test_servers.py, on Node's own HTTP server.
import { createServer } from "node:http";

const chunks = ["wörld 😀", ...Array.from({ length: 500 }, (_, number) => `${number} `)];
const forms = {
  "text/event-stream": [(content) => `event: chunk\ndata: ${JSON.stringify({ content })}\n\n`, "event: done\ndata: {}\n\n"],
  "application/x-ndjson": [(content) => `${JSON.stringify({ type: "chunk", content })}\n`, '{"type": "done"}\n'],
  "text/plain": [(content) => content, ""],
};

createServer(async (request, response) => {
  const [, agent, action] = request.url.match(/^\/v1\/agents\/([^/]+)\/(\w+)$/);
  const parts = [];
  for await (const part of request) parts.push(part);
  if (action === "invoke") {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ result: JSON.parse(Buffer.concat(parts)) }));
    return;
  }
  const type = Object.keys(forms).find((name) => request.headers.accept.includes(name));
  const [form, end] = forms[type];
  response.setHeader("Content-Type", `${type}; charset=utf-8`);
  for (const chunk of chunks) {
    response.write(form(chunk));
    if (agent === "breaks") return setTimeout(() => response.destroy(), 20);
    if (agent === "waits") return;
  }
  response.end(end);
}).listen(Number(process.argv[2]), "127.0.0.1");
