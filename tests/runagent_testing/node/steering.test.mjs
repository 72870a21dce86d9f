// Node's own test runner steers a fake agent server over its control API; test_node.py runs this file.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

const server = process.env.FAKE_AGENT_URL;

// A test's share of the server: its base URL for the code under test, and requests to its control API.
function scope(name) {
  const url = `${server}/_scope/${encodeURIComponent(name)}`;
  return {
    url,
    async ask(method, path, body) {
      const headers = body === undefined ? {} : { "Content-Type": "application/json" };
      const answer = await fetch(`${url}/_fake${path}`, { method, headers, body: JSON.stringify(body) });
      const content = answer.status === 204 ? null : await answer.json();
      assert.ok(answer.ok, JSON.stringify(content));
      return content;
    },
  };
}

// The code under test: it streams from an agent, and shows the chunks as they come.
async function* chunksOf(url, query) {
  const answer = await fetch(`${url}/v1/agents/writer/stream`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/x-ndjson" },
    body: JSON.stringify({ query }),
  });
  let rest = "";
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      const event = JSON.parse(line);
      if ("content" in event) yield event.content;
    }
  }
}

// Both tests stop their stream at the same time: each is at its gate while the other one is, too.
const names = ["one", "two"];
const waiting = names.map(() => Promise.withResolvers?.() ?? deferred());

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

describe("a running server", { concurrency: true, timeout: 30_000 }, () => {
  names.forEach((name, number) => {
    it(`stops the stream of test ${name} after its third chunk`, async () => {
      const own = scope(`node ${name}`);
      const words = ["a", "b", "c", "d"].map((word) => `${name} ${word}`);
      await own.ask("PUT", "/agents/writer", { always: [...words.slice(0, 3), { gate: "door" }, words[3]] });

      const stream = chunksOf(own.url, name);
      const shown = [];
      for (let count = 0; count < 3; count++) shown.push((await stream.next()).value);
      const { reached, exchange } = await own.ask("GET", "/exchanges/1?until=sent&chunks=3");
      assert.ok(reached);
      assert.deepEqual([exchange.chunks_sent, exchange.waits_for], [3, { gate: "door" }]);
      waiting[number].resolve();
      await Promise.all(waiting.map(({ promise }) => promise));
      assert.deepEqual(shown, words.slice(0, 3));
      const { running } = await own.ask("GET", "/state");
      assert.deepEqual(running.map(({ chunks }) => chunks), [words.slice(0, 3)]);

      await own.ask("PUT", "/gates/door", { open: true });
      for await (const chunk of stream) shown.push(chunk);
      assert.deepEqual(shown, words);

      const { count, exchanges } = await own.ask("GET", "/exchanges?wait=1&full=true");
      assert.deepEqual([count, exchanges[0].input, exchanges[0].outcome], [1, { query: name }, "done"]);
    });
  });

  it("lists what a test has left over", async () => {
    const own = scope("node leftovers");
    await own.ask("PUT", "/agents/writer", { always: ["x"], replies: [["never asked for"]] });
    assert.deepEqual((await own.ask("GET", "/problems")).problems, [
      "agent 'writer': never used: reply with chunk 'never asked for'",
    ]);
    for await (const chunk of chunksOf(own.url, "hello")) assert.equal(chunk, "never asked for");
    assert.deepEqual((await own.ask("GET", "/problems")).problems, []);
    await own.ask("POST", "/reset");
    assert.deepEqual((await own.ask("GET", "/agents")).agents, []);
  });
});
