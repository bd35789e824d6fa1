"""What a reader sees of an error nobody foresaw: a sentence with an id, never a traceback or a path."""

from __future__ import annotations

import streamlit as st
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.errors import FragmentHandledException

from engine.errors import UserError
from engine.logs import fault
from pages.components.text import md

ICON = ":material/error:"


def sentence(mark: str, where: str = "on this page", then: str = "Reload the page") -> str:
    """What to tell: the log holds the rest under the id."""
    return (
        f"Something went wrong {where}; the server's log has the details under {mark}. {then}; your data "
        "sets and runs are safe on disk."
    )


def show(error: Exception) -> bool:
    """Show what ended a page, a part of it or the action of a button; True says that it is shown."""
    if isinstance(error, FragmentHandledException):  # a part of the page, which has been told about
        return True
    if isinstance(error, UserError):
        st.error(md(error, 300), icon=ICON)
    else:
        st.error(sentence(fault("a page failed", error)), icon=ICON)
    return True


class Faults:
    """Pure ASGI middleware: an answer that fails becomes one JSON sentence with an id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            mark = fault(f"{scope['method']} {scope['path']}", error)
            if begun:  # too late for words: the connection is cut, so that nobody takes a part for the whole
                return
            words = sentence(mark, "with this answer", "Try again")
            answer = JSONResponse({"error": words}, 500, headers={"Cache-Control": "no-store"})
            await answer(scope, receive, send)
