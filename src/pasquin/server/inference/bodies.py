"""What requests may say: OpenAI's fields, and a few of our own (`account`, `about`, `top_k`, `min_p`).

Fields whose effect we do not have are taken at the value that means "no effect" and refused at any other, so nobody
believes in what did not happen.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from pasquin.server.fields import NUMBER

MAX_TEXTS: Final = 128
_MAX_PROMPT: Final = 20_000
_MAX_STOP: Final = 200


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError("it has half a character (a lone surrogate) in it") from exc
    return text


Text = Annotated[str, Field(max_length=_MAX_PROMPT), AfterValidator(_encodable)]
Stop = Annotated[str, Field(min_length=1, max_length=_MAX_STOP), AfterValidator(_encodable)]
_Zero = Annotated[float, Field(ge=0, le=0), NUMBER]


class StreamOptions(BaseModel):
    """How to stream. `include_usage`: one more event at the end, with the tokens used."""

    model_config = ConfigDict(extra="forbid")

    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


class SharedBody(BaseModel):
    """What both kinds of request have. Sampling that is not said is the model's (`shelf.Offer.defaults`)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(max_length=200)]
    n: Annotated[int, Field(ge=1, le=MAX_TEXTS), NUMBER] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), NUMBER] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=100), NUMBER] | None = None
    top_p: Annotated[float, Field(gt=0, le=1), NUMBER] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), NUMBER] | None = None
    min_p: Annotated[float, Field(ge=0, lt=1), NUMBER] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), NUMBER] | None = None
    frequency_penalty: _Zero | None = None
    presence_penalty: _Zero | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    user: Annotated[str, Field(max_length=1_000)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """`stop` as a row."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class CompletionBody(SharedBody):
    """`POST /v1/completions`: each prompt is the beginning of a post; "" (or none) leaves all of it to the model.

    `account` is the voice, one the model was trained on; without it the post is in nobody's in particular. `about` are
    words that the post is about, where the model learned topics.
    """

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    account: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_encodable)] | None = None
    about: Annotated[str, Field(max_length=200), AfterValidator(_encodable)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=1), NUMBER] | None = None
    echo: StrictBool | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_TEXTS), NUMBER] | None = None
    suffix: Annotated[str, Field(max_length=0)] | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        """`prompt` as a row."""
        return tuple(self.prompt) if isinstance(self.prompt, list) else (self.prompt or "",)


class TextPart(BaseModel):
    """A piece of a message's text."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=100)]
    name: Annotated[str, Field(max_length=64)] | None = None

    @property
    def plain(self) -> dict[str, str]:
        """Role and text, as chat templates take them."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ResponseFormat(BaseModel):
    """Only text."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]


class ChatBody(SharedBody):
    """`POST /v1/chat/completions`, for models whose tokenizer has a chat template."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=200)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), NUMBER] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0), NUMBER] | None = None
    response_format: ResponseFormat | None = None
