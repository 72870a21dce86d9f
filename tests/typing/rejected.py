"""Mistakes of users that a type checker has to find: exactly the lines that end in an "error"."""

from __future__ import annotations

import runagent
import runagent.transports
import runagent_testing
import runagent_testing.conformance
from runagent import AsyncRunAgentClient, Chunk, Completed, RunAgentClient, Timeouts, ToolCall
from runagent import RateLimitErorr  # error
from runagent.transports import HttpSesion  # error
from runagent_openai import OpenAITransprot  # error
from runagent_testing import FakeAgentSever  # error
from runagent_testing.conformance import check_transprot  # error
from runagent_testing.dialects import Dialekt  # error
from runagent_testing.faults import for_transports  # error
from runagent_testing._memory import MemoryNetwrok  # error

print(runagent.Timeout)  # error
print(runagent.transports.Sesion)  # error
print(runagent_testing.dealy)  # error
print(runagent_testing.conformance.LATESTS)  # error

client = RunAgentClient(agent_idd="a")  # error
other = AsyncRunAgentClient("a", time_out=3)  # error
client.run_generic_stream("x", timeot=3)  # error
client.run_generic("x", max_retrys=1)  # error
client.run_generic("x", resume_after=1)  # error
client.run_generic("x", result_type=3)  # error
client.run_generic("x", result_type=int).upper()  # error
client.run_generic_stream("x", result_type=int)  # error
client.run_generic({1, 2})  # error
client.run_generic_stream("x", resume_after="1")  # error
client.run_generic_stream("x", resume="always")  # error
other.run_generic_stream("x", session_id=3)  # error
client.run_generic_strem("x")  # error
client.attach(client.run_generic_stream("x").handle)  # error
client.attach("ra1.x", session_id="s")  # error
other.run_generic_stream("x", transports="sse")  # error
Timeouts(first=3)  # error
for number in client.run_generic_stream("x").txt():  # error
    print(number)
for chunk in other.run_generic_stream("x"):  # error
    print(chunk)
for event in client.run_generic_stream("x").events():
    print(event.content)  # error
Chunk("x").content.upper()  # error
Chunk(b"x")  # error
Completed({"total_tokens": 1})  # error
ToolCall("c1", "f", {"a": 1})  # error
print(client.run_generic_stream("x").report.atempts)  # error
runagent_testing.FakeAgentServer().agent("a").always("x", indexd=True)  # error

runagent.RateLimitError("x", retry_aftr=3)  # error
runagent.AgentError("x", status="a")  # error
runagent.StreamError("x", phase="idle")  # error
runagent.RunAgentError("x", status=3)  # error
runagent.StreamError("x", chunk_recieved=3)  # error
runagent.StreamError("x", hnt="y")  # error
runagent.StreamError("x").retryable = True  # error
runagent.StreamError("x").key_refused = True  # error
print(runagent.RateLimitError("x").report.attempts)  # error

for text in client.run_generic_stream("x").texts():
    print(text.nonsense)  # error
client.run_generic_stream("x").wait("1")  # error
print(client.run_generic_stream("x").result().txt)  # error
other.run_generic_stream("x").close()  # error
runagent.StreamError("x", chunk_recieved=3)  # error
RunAgentClient("a", network=3)  # error
AsyncRunAgentClient("a", network=3)  # error
print(runagent.RunReport().tokns)  # error
print(runagent.Attempt("sse").error.cod)  # error
