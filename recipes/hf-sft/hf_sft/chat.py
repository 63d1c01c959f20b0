"""Renders chats through the tokenizer's template, and finds in the text what the assistant says."""

import re
from typing import Any

from hf_sft.errors import UnusableInput

# For tokenizers without a template: a line with the role, then what is said. The end-of-text token ends each answer.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token or '' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
LEARNED_ROLE = "assistant"
Span = tuple[int, int]


def render_chat(tokenizer: Any, messages: Any, *, first_learned: int = 0) -> tuple[str, list[Span]]:
    """Return the chat as one text, and the parts that are learned: what the assistant says, each with its end token.

    Messages before `first_learned` are not learned. The parts are found by rendering the chat once more with marks in
    place of what is said; this works with every template whose frame does not depend on what is said.

    Raises: UnusableInput for what is no chat, has nothing to learn, or has a template that rewrites messages.
    """
    _check(messages, first_learned)
    contents = [message["content"] for message in messages]
    text = _render(tokenizer, messages, contents)
    frame = _frame(tokenizer, messages)
    for said in (contents, [content.strip() for content in contents]):
        if text == frame[0] + "".join(content + part for content, part in zip(said, frame[1:], strict=True)):
            return text, _learned_spans(tokenizer, messages, said, frame, first_learned)
    raise UnusableInput("the chat template of this model rewrites messages, so what is learned cannot be told apart")


def _check(messages: Any, first_learned: int) -> None:
    if not isinstance(messages, list) or not messages:
        raise UnusableInput("messages must be a list that is not empty")
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise UnusableInput(f"message {number} must have role and content, both texts")
    if all(message["role"] != LEARNED_ROLE for message in messages[first_learned:]):
        raise UnusableInput("no message to learn has the role assistant")


def _render(tokenizer: Any, messages: list[dict[str, str]], contents: list[str]) -> str:
    chat = [{"role": message["role"], "content": said} for message, said in zip(messages, contents, strict=True)]
    try:
        text: str = tokenizer.apply_chat_template(chat, tokenize=False)
    except Exception as error:  # a template may raise anything, such as for roles that do not alternate
        raise UnusableInput(f"the chat template of this model refuses the messages: {error}") from error
    return text


def _frame(tokenizer: Any, messages: list[dict[str, str]]) -> list[str]:
    """Return what the template writes before, between and after the messages: one text more than messages."""
    marks = [f"\N{INVISIBLE SEPARATOR}{number}\N{INVISIBLE SEPARATOR}" for number in range(len(messages))]
    frame = re.split("|".join(marks), _render(tokenizer, messages, marks))
    if len(frame) != len(messages) + 1:
        raise UnusableInput("the chat template of this model leaves out messages or writes them twice")
    return frame


def _learned_spans(
    tokenizer: Any, messages: list[dict[str, str]], said: list[str], frame: list[str], first_learned: int
) -> list[Span]:
    end_token = _end_token(tokenizer)
    spans, position = [], len(frame[0])
    for number, (message, content) in enumerate(zip(messages, said, strict=True)):
        end = position + len(content)
        if number >= first_learned and message["role"] == LEARNED_ROLE:
            found = end_token.match(frame[number + 1])
            spans.append((position, end + (found.end() if found else 0)))
        position = end + len(frame[number + 1])
    return spans


def _end_token(tokenizer: Any) -> re.Pattern[str]:
    """Match the special token that ends a turn, right after what is said or after white space."""
    added = tokenizer.added_tokens_decoder.values()
    special = {*tokenizer.all_special_tokens, *(token.content for token in added if token.special)}
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, longest_first))})") if special else re.compile(r"(?!)")
