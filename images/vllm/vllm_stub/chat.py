"""Reading a chat completion request the way vLLM does: what is accepted, and with which error the rest is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from vllm_stub.answers import Document, error


class Refused(Exception):
    """The request is answered with an error: ``status`` (HTTP) and ``document`` (its body)."""

    def __init__(self, status: int, kind: str, message: str, param: Optional[str] = None) -> None:
        super().__init__(message)
        self.status = status
        self.document = error(status, kind, message, param)


@dataclass(frozen=True)
class ChatRequest:
    """A request that passed: ``max_tokens`` is what remains of the context, or less if the client asked for less."""

    model: str
    messages: list[Document]
    temperature: float
    max_tokens: int
    prompt_tokens: int
    n: int
    stream: bool
    include_usage: bool


def texts_of(messages: list[Any]) -> list[str]:
    """The text of each message, whether its content is a string, a list of parts, or absent."""
    texts = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        texts.append(content if isinstance(content, str) else "")
    return texts


def estimate_tokens(messages: list[Any]) -> int:
    """Prompt tokens by rule of thumb, as there is no tokenizer: one per four bytes of UTF-8 begun, four more per
    message, three for the start of the answer."""
    return 3 + sum(4 + (len(text.encode("utf-8")) + 3) // 4 for text in texts_of(messages))


def read_chat(document: object, served_model: str, max_model_len: int, aliases: Sequence[str] = ()) -> ChatRequest:
    """Check the decoded body of a request. Raises Refused with vLLM's status, type and parameter."""
    if not isinstance(document, dict):
        raise _invalid(
            "model_attributes_type", "body", "Input should be a valid dictionary or object to extract fields from"
        )
    messages = document.get("messages")
    if messages is None:
        raise _invalid("missing", "body.messages", "Field required")
    if not isinstance(messages, list):
        raise _invalid("list_type", "body.messages", "Input should be a valid list")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid("missing", f"body.messages.{number}.role", "Field required")
    temperature = _number(document, "temperature", whole=False)
    asked, newer, n = (_number(document, name, whole=True) for name in ("max_tokens", "max_completion_tokens", "n"))
    stream = document.get("stream") is True
    options = document.get("stream_options")
    if options is not None and not stream:
        raise _refused("Stream options can only be defined when `stream=True`.", "stream_options")
    model = document.get("model") or served_model
    if model not in (served_model, *aliases):
        valid = ", ".join((served_model, *aliases))
        message = f"The model `{model}` does not exist. Valid aliases: {valid}."
        raise Refused(404, "NotFoundError", message, "model")
    if not messages:
        message = "Cannot apply chat template to an empty conversation. Provide at least one message."
        raise Refused(400, "BadRequestError", message)
    if n is not None and n < 1:
        raise Refused(400, "BadRequestError", f"n must be at least 1, got {n}.")
    prompt_tokens = estimate_tokens(messages)
    return ChatRequest(
        model=model,
        messages=messages,
        temperature=_temperature(temperature),
        max_tokens=_max_tokens(newer if newer is not None else asked, prompt_tokens, max_model_len),
        prompt_tokens=prompt_tokens,
        n=n or 1,
        stream=stream,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _number(document: Document, name: str, whole: bool) -> Any:
    value = document.get(name)
    if value is None or (isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)):
        return value
    kind, wanted = ("int_parsing", "integer") if whole else ("float_parsing", "number")
    raise _invalid(kind, f"body.{name}", f"Input should be a valid {wanted}")


def _temperature(value: Optional[float]) -> float:
    """0 to 2; vLLM's default is 1 (a model's own generation configuration may say otherwise)."""
    if value is None:
        return 1.0
    if not 0 <= value <= 2:
        bounds = "non-negative" if value < 0 else "in [0, 2]"
        raise _refused(f"temperature must be {bounds}, got {float(value)}.", "temperature", float(value))
    return float(value)


def _max_tokens(asked: Optional[int], prompt_tokens: int, max_model_len: int) -> int:
    room = max_model_len - prompt_tokens
    if room <= 0:
        message = (
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains at least "
            f"{max_model_len + 1} input tokens, which exceeds this limit even without any output tokens. Please reduce "
            "the length of the input prompt."
        )
        raise _refused(message, "input_tokens", max_model_len + 1)
    if asked is None:
        return room
    if asked < 1:
        raise _refused(f"max_tokens must be at least 1, got {asked}.", "max_tokens", asked)
    if asked > max_model_len:
        message = f"max_tokens={asked} cannot be greater than max_model_len={max_model_len}."
        raise _refused(f"{message} Please request fewer output tokens.", "max_tokens", asked)
    return min(asked, room)


def _refused(message: str, param: str, value: object = None) -> Refused:
    """vLLM's refusal of a value: the message names the parameter, and the value where there is one."""
    detail = f"parameter={param}" if value is None else f"parameter={param}, value={value}"
    return Refused(400, "BadRequestError", f"{message} ({detail})", param)


def _invalid(kind: str, place: str, message: str) -> Refused:
    """vLLM's refusal of a body that does not have the right shape."""
    text = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{message}'}}"
    return Refused(400, "Bad Request", text, place)
