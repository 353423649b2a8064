"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, transformers serve, hosted ones.

The `openai` client sends; retries, waiting and limits are `client.ChatClient`'s, so that they are the same for all backends.
The answer is read from the raw body: what a server leaves out or garbles is a fault to count, not an exception to guess at.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from typing import Any

from iterpref.codeflow.generate.chat import (
    CHARS_PER_TOKEN,
    ChatParams,
    Completion,
    Message,
    RequestRefused,
    ServerFault,
    Unrecoverable,
    request_key,
)
from iterpref.codeflow.generate.limits import parse_retry_after
from iterpref.codeflow.generate.transport import BadBody, http_client, transport_errors
from iterpref.errors import UserError

_MOST_TOKENS = 2**31  # a count above that of any model's context is none
_DETAIL_CHARS = 300
_RETRIED = (408, 409, 425, 429)  # and every 5xx, and a redirect to nowhere
# What servers say of an answer that they broke off (shut down, overloaded, failed): nothing to keep.
_BROKEN_OFF = ("abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource")
_TOO_LONG = ("context_length", "context length", "maximum context", "too long", "max_model_len")


class OpenAIBackend:
    """`model` at `base_url`.

    Args:
        key_env: environment variable that holds the key. Servers of one's own often ask for none.
        timeout_s: for one answer, from request to last byte.
        send_seed: pass `ChatParams.seed` on; some servers refuse fields that they do not know.
        limit_field: what the server calls the limit on the answer's tokens.

    Raises `UserError` without the `openai` package.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 600.0,
        send_seed: bool = True,
        limit_field: str = "max_tokens",
    ) -> None:
        try:
            import openai
        except ImportError:
            raise UserError('generate=openai needs the openai package; run: pip install "iterpref[llm]"') from None
        self.model, self.base_url = model, base_url
        self._key_env, self._timeout_s, self._send_seed, self._limit_field = key_env, timeout_s, send_seed, limit_field
        self._openai = openai
        self._client: Any = None

    def _connect(self) -> Any:
        """On the event loop that uses it: connections belong to a loop."""
        if self._client is None:
            for transport in ("httpx", "httpx2"):  # of older and of newer openai clients
                logging.getLogger(transport).setLevel(logging.WARNING)  # a line for each of many thousand calls
            key = os.environ.get(self._key_env, "")
            if not key and self.base_url is None:
                raise Unrecoverable(
                    f"generate=openai: no key in ${self._key_env}; set it, name another variable with generate.key_env=NAME, "
                    "or give the address of a server of your own with generate.base_url=URL"
                )
            self._client = self._openai.AsyncOpenAI(
                api_key=key or "none", base_url=self.base_url, max_retries=0,
                timeout=None,  # it is ours: some transports call a refused connection a timeout
                http_client=http_client(self._openai),
            )  # fmt: skip
        return self._client

    async def complete(self, messages: Sequence[Message], params: ChatParams, attempt: int = 0) -> Completion:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [m.to_dict() for m in messages],
            "temperature": params.temperature,
            "top_p": params.top_p,
            self._limit_field: params.max_tokens,
        }
        if params.seed is not None and self._send_seed:
            body["seed"] = params.seed
        if params.stop:
            body["stop"] = list(params.stop)
        api = self._openai
        try:
            async with asyncio.timeout(self._timeout_s):
                # Not `chat.completions.create`, whose checks of what we send take as long as all the rest of a call.
                content = await self._connect().post("/chat/completions", body=body, cast_to=bytes)
        except TimeoutError:
            raise ServerFault("timeout", f"no answer within generate.timeout_s={self._timeout_s:g} s") from None
        except api.APIStatusError as error:
            raise self._by_status(error) from None
        except api.APIConnectionError as error:
            raise ServerFault("connection", _short(error.__cause__ or error)) from None
        except BadBody as error:
            raise ServerFault(error.reason, _short(error)) from None
        except transport_errors() as error:
            raise ServerFault("connection", _short(error)) from None
        except (UnicodeEncodeError, ValueError) as error:
            raise RequestRefused("unsendable", _short(error)) from None
        try:
            return _read(content, self.model, messages, params, attempt)
        except ServerFault as fault:
            raise ServerFault(fault.reason, self._without_key(fault.detail)) from None

    def _without_key(self, text: str) -> str:
        """What a server says may repeat what it was sent, and goes into logs and records."""
        key = os.environ.get(self._key_env, "")
        return text.replace(key, f"${self._key_env}") if key else text

    def _by_status(self, error: Any) -> Exception:
        status = error.status_code
        detail = self._without_key(_short(error.message)).removeprefix(f"Error code: {status} - ")
        where = self.base_url or "OpenAI's server"
        if status in (401, 403):
            return Unrecoverable(
                f"{where} refused the key in ${self._key_env} ({status}: {detail}); put a valid key there, or name another "
                "variable with generate.key_env=NAME"
            )
        if status in (404, 405):
            return Unrecoverable(
                f"{where} has no model '{self.model}', or is no such server ({status}: {detail}); change generate.model=NAME, or "
                "generate.base_url=URL (which mostly ends in /v1)"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in f"{error.code} {error.type} {detail}"):
            return Unrecoverable(f"{where}: the account behind ${self._key_env} is out of credit ({detail}); top it up, or change generate.key_env=NAME")  # fmt: skip
        if status in _RETRIED or status >= 500 or status < 400:
            headers = error.response.headers
            wish = parse_retry_after(headers.get("retry-after"), headers.get("date"))
            return ServerFault(f"http_{status}", detail, wish)
        text = f"{error.code} {detail}".lower()
        return RequestRefused("context_length" if any(w in text for w in _TOO_LONG) else f"http_{status}", detail)

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()


def _read(content: bytes, model: str, messages: Sequence[Message], params: ChatParams, attempt: int) -> Completion:
    """The completion in a response's body; raises `ServerFault` for a body that is none."""
    begin = _short(content[:_DETAIL_CHARS].decode("utf-8", "replace"))
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ServerFault("malformed_json", f"{_short(error)}: {begin[:100]}") from None
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    finish = str(choice.get("finish_reason") or "") if isinstance(choice, dict) else ""
    text = _said(message, finish) if isinstance(message, dict) else None
    if text is None:
        raise ServerFault("empty_choice", begin)
    if finish.lower() in _BROKEN_OFF:
        raise ServerFault("broken_off", f"finish_reason {_short(finish)}")
    usage = body.get("usage")
    tokens_out = _count(usage, "completion_tokens", len(text))
    if finish == "stop" and tokens_out == params.max_tokens:
        finish = "length"  # some servers know no other word than stop, and others obey no limit
    return Completion(
        text=text,
        finish_reason=finish or "unknown",
        tokens_in=_count(usage, "prompt_tokens", sum(len(m.content) for m in messages)),
        tokens_out=tokens_out,
        model=model,
        request_key=request_key(model, messages, params, attempt),
        served=str(body.get("model") or "")[:_DETAIL_CHARS],
    )


def _said(message: dict[str, Any], finish: str) -> str | None:
    """A message's text, which may come in parts, or else its refusal; None for a message that is none."""
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        # Parts of other types are thoughts, pictures, calls.
        texts = [part.get("text") for part in content if part.get("type", "text") in ("text", "output_text")]
        content = "".join(text for text in texts if isinstance(text, str)) if content else None
    if isinstance(content, str):
        return content
    refusal = message.get("refusal")
    if content is None and isinstance(refusal, str):
        return refusal
    # A null beside a reason to stop is the model's own silence, which asking again would pay for again.
    return "" if content is None and finish else None


def _count(usage: Any, name: str, chars: int) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else -(-chars // CHARS_PER_TOKEN)


def _short(text: object) -> str:
    return ascii(" ".join(str(text).split())[:_DETAIL_CHARS])[1:-1]
