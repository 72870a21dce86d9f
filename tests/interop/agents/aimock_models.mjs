// aimock's model services, all on one port: a conversation of three turns with a tool, the same for each service.
import { createRequire } from "node:module";

const { LLMock } = createRequire(`${process.env.NODE_PACKAGES}/`)("@copilotkit/aimock");
const mock = new LLMock({ port: Number(process.argv[2]), host: "127.0.0.1", chunkSize: 4 });
mock.addFixtures([
  {
    match: { userMessage: "fail" },
    response: { error: { message: "no room left", type: "overloaded_error" }, status: 503 },
  },
  { match: { userMessage: "A seat, please" }, response: { content: "It is booked: 7A. 😀" } },
  { match: { hasToolResult: true }, response: { content: "It is sunny." } },
  {
    match: { userMessage: "I am off to Oslo" },
    response: {
      content: "Let me see.",
      reasoning: "A tool knows.",
      toolCalls: [{ id: "weather_1", name: "weather", arguments: '{"city":"Oslo"}' }],
    },
  },
]);
await mock.start();
