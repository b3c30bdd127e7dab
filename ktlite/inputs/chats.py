"""Chats as texts: messages through the template that a checkpoint brings, as `transformers` does.

https://huggingface.co/docs/transformers/chat_templating
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._extras import needs_extra
from ktlite.errors import CheckpointError, DataError
from ktlite.inputs.tokenizer_files import SETTINGS, TEMPLATE, name

Chat = list[dict[str, Any]]
ROLE, CONTENT, ASSISTANT = "role", "content", "assistant"
EXPECTED = "a list of messages, {'role': 'user', 'content': 'Hello!'}"

# In place of a reply, to see what a template puts around one.
_MARK = "\x02reply\x03"


def is_chat(item: Any) -> bool:
    """Says whether an item is a list of messages."""
    return (
        isinstance(item, (list, tuple))
        and len(item) > 0
        and all(isinstance(message, Mapping) and ROLE in message for message in item)
    )


def checked_chat(item: Any, where: str) -> Chat:
    """Returns a chat as plain lists and dicts.

    Raises:
        DataError: If it is none, or a message has no text.
    """
    messages = item.tolist() if hasattr(item, "tolist") else item
    wrong: Any = messages
    if is_chat(messages):
        wrong = next((m for m in messages if not isinstance(m.get(CONTENT), str)), None)
    if wrong is not None:
        raise DataError(f"{where}: expected {EXPECTED}; got {wrong!r:.80}.")
    return [dict(message) for message in messages]


class ChatTemplate:
    """What a checkpoint makes of messages.

    Args:
        files: Content of the tokenizer's files, by name.

    Raises:
        CheckpointError: If they have no template.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        settings = json.loads(files.get(SETTINGS, b"{}"))
        found = settings.get("chat_template")
        if TEMPLATE in files:
            found = files[TEMPLATE].decode("utf-8")
        if isinstance(found, list):  # several, by name
            found = {one.get("name"): one.get("template") for one in found}.get("default")
        if not isinstance(found, str):
            raise CheckpointError(
                "this checkpoint has no chat template (chat_template.jinja, or chat_template in "
                "tokenizer_config.json), so it cannot read messages: take one that was tuned for "
                "chats (mostly called Instruct), or give prompts as texts."
            )
        self._source = found
        self._tokens = {
            key: name(value) for key, value in settings.items() if key.endswith("_token") and value
        }

    def text(self, chat: Sequence[Mapping[str, Any]], *, reply: bool = False) -> str:
        """Returns the text of a chat; with `reply`, up to where the assistant's next one begins.

        Raises:
            DataError: If the template refuses the chat.
        """
        with needs_extra("generation", "chats"):
            import jinja2
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            made: Any = render_jinja_template(
                [list(map(dict, chat))],
                chat_template=self._source,
                add_generation_prompt=reply,
                **self._tokens,
            )
        except jinja2.TemplateError as error:
            raise DataError(f"the chat template refuses {chat!r:.80}: {error}") from error
        # transformers 5 returns texts, or with them what is of the assistant.
        return str((made[0] if isinstance(made, tuple) else made)[0])

    def parts(self, chat: Chat) -> list[tuple[str, bool]]:
        """Returns the text of a chat up to its next reply, in parts: (text, whether it is a reply).

        What the template puts behind a reply, such as the token that ends it, belongs to it.

        Raises:
            DataError: If the template changes what is before a reply by what comes after it.
        """
        whole = self.text(chat, reply=True)
        found, at = [], 0
        for number, message in enumerate(chat):
            if message[ROLE] != ASSISTANT:
                continue
            before = self.text(chat[:number], reply=True)
            behind = self.text(chat[: number + 1])
            if not (whole.startswith(before) and whole.startswith(behind)):
                raise DataError(
                    "the chat template writes a chat's earlier messages in another way when later "
                    "ones are there, so replies in its midst cannot be learned: give each reply as "
                    "a chat that ends with it."
                )
            found += [(whole[at : len(before)], False), (whole[len(before) : len(behind)], True)]
            at = len(behind)
        return [part for part in (*found, (whole[at:], False)) if part[0]]

    def end(self) -> str:
        """Returns what the template puts behind the last reply of a chat."""
        whole = self.text([{ROLE: "user", CONTENT: "a"}, {ROLE: ASSISTANT, CONTENT: _MARK}])
        return whole.rpartition(_MARK)[2]
