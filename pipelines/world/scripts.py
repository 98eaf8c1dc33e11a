"""How conversations go. Each script writes with a pen from `at` on and returns when it ends."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.world.hours import DAY, HOUR, MINUTE, lasting
from pipelines.world.pen import Pen
from pipelines.world.things import Agent, Message
from pipelines.world.words import (
    ANSWERS,
    APOLOGIES,
    BOT_MENU,
    BOT_OPEN,
    BOT_SHUT,
    EMOJI,
    FOLLOW_UPS,
    GREETINGS,
    MENU,
    NUDGES,
    QUESTIONS,
    THANKS,
    WELCOMES,
    say,
)

Script = Callable[[Pen, int], int]
KINDS = (
    ("image", 0.06), ("audio", 0.07), ("sticker", 0.015), ("document", 0.015), ("video", 0.01),
    ("location", 0.007), ("contacts", 0.003), ("order", 0.004), ("unsupported", 0.004),
    ("system", 0.0008), ("request_welcome", 0.0008),
)  # fmt: skip


def chat(pen: Pen, at: int) -> int:
    """A question, an answer, and so on for a few rounds."""
    at = ask(pen, at, lines=pen.rng.choice((1, 1, 2, 3)))
    agent = None
    for _ in range(pen.rng.choice((1, 1, 2, 2, 3, 4))):
        at, agent = answer(pen, at, agent)
        if pen.rng.random() < 0.2:
            return close(pen, at, agent)
        at = speak(pen, at + min(lasting(pen.rng, median=3 * MINUTE, spread=1.3), 20 * HOUR))
    at, agent = answer(pen, at, agent)
    return close(pen, thank(pen, at, agent), agent)


def impatient(pen: Pen, at: int) -> int:
    """Message upon message until somebody answers."""
    at = ask(pen, at, lines=2)
    for _ in range(pen.rng.randint(3, 5)):
        at += 20 + lasting(pen.rng, median=60)
        pen.customer(at, text=say(pen.rng, NUDGES))
    at, agent = answer(pen, at, None)
    at = speak(pen, at + lasting(pen.rng, median=MINUTE))
    at, agent = answer(pen, at, agent)
    return close(pen, at, agent)


def patient(pen: Pen, at: int) -> int:
    """Hours between the lines, on both sides."""
    at = ask(pen, at, lines=1)
    agent = None
    for _ in range(pen.rng.randint(2, 4)):
        at, agent = answer(pen, at, agent, slower=6)
        at = speak(pen, at + int(HOUR * (1 + pen.rng.random() * 15)))
    at, agent = answer(pen, at, agent)
    return close(pen, thank(pen, at, agent), agent)


def ignored(pen: Pen, at: int) -> int:
    """Nobody ever answers, or only the bot does."""
    at = ask(pen, at, lines=pen.rng.choice((1, 1, 2)))
    if pen.rng.random() < 0.3:
        at += int(HOUR * (1 + pen.rng.random() * 10))
        pen.customer(at, text=say(pen.rng, NUDGES))
    return at + DAY


def too_late(pen: Pen, at: int) -> int:
    """Nobody looks until the window has closed."""
    at = ask(pen, at, lines=pen.rng.choice((1, 2)))
    at = pen.hours.next_open(at + DAY + HOUR + int(pen.rng.random() * DAY))
    at, agent = reopen(pen, at + int(pen.rng.random() * HOUR), None)
    if pen.rng.random() < 0.55:
        return at + HOUR
    at = tap(pen, at + lasting(pen.rng, median=40 * MINUTE), text="Sí")
    at, agent = answer(pen, at, agent)
    return close(pen, at, agent)


def reopen(pen: Pen, at: int, agent: Agent | None) -> tuple[int, Agent]:
    """An answer after the window: from the phone, or by template, often after a failed try."""
    agent = agent or pen.on_shift(at)
    if pen.channel.has_phone_app and pen.rng.random() < 0.5:
        # Meta's window binds the API, not the app on the shop's phone
        pen.human(at, "text", say(pen.rng, APOLOGIES), agent=agent, device="phone")
        return at, agent
    if pen.rng.random() < 0.2:
        text = say(pen.rng, APOLOGIES)
        pen.human(at, "text", text, agent=agent, device="inbox", window_closed=True)
        at += lasting(pen.rng, median=2 * MINUTE)
    template = template_named(pen, "retomar_consulta")
    pen.human(at, "template", None, agent=agent, device="inbox", template=template)
    pen.mark(at, "pending", agent)
    return at, agent


def notice(pen: Pen, at: int) -> int:
    """The shop's system tells about an order; some customers have a question then."""
    at = pen.hours.next_open(at)
    pen.bot(at, "template", None, template=template_named(pen, "pedido_en_camino"))
    if pen.rng.random() < 0.7:
        return at + MINUTE
    at = speak(pen, at + min(lasting(pen.rng, median=HOUR), 20 * HOUR))
    at, agent = answer(pen, at, None)
    return close(pen, thank(pen, at, agent), agent)


def menu(pen: Pen, at: int) -> int:
    """The bot asks what it is about; the customer taps, a person takes over."""
    at = ask(pen, at, lines=1)
    at += 3
    pen.bot(at, "interactive", BOT_MENU)
    at += lasting(pen.rng, median=30)
    pen.customer(at, "interactive", pen.rng.choice(MENU))
    at, agent = answer(pen, at, None)
    return close(pen, thank(pen, at, agent), agent)


def ask(pen: Pen, at: int, *, lines: int) -> int:
    """A customer comes up with something; the bot greets first of all."""
    text = say(pen.rng, GREETINGS) if lines > 1 else say(pen.rng, QUESTIONS)
    pen.customer(at, text=text, from_ad=pen.rng.random() < 0.02)
    if pen.has_bot:
        pen.bot(at + 2, "text", BOT_OPEN if pen.hours.is_open(at) else BOT_SHUT)
    for _ in range(lines - 1):
        at += 3 + lasting(pen.rng, median=15)
        at = speak(pen, at, say(pen.rng, QUESTIONS))
    return at


def speak(pen: Pen, at: int, text: str | None = None) -> int:
    """One message of the customer, now and then a picture, an edit or a second thought."""
    dice = pen.rng.random()
    for kind, share in KINDS:
        if dice < share:
            pen.customer(at, kind, pen.rng.choice((None, "Mirá")) if kind == "image" else None)
            return at
        dice -= share
    message = pen.customer(at, text=text or say(pen.rng, FOLLOW_UPS))
    return second_thought(pen, message, at)


def second_thought(pen: Pen, message: Message, at: int) -> int:
    dice = pen.rng.random()
    if dice < 0.008:
        at += lasting(pen.rng, median=40)
        pen.customer(at, "edit", say(pen.rng, QUESTIONS), refers_to=message.id)
    elif dice < 0.014:
        at += lasting(pen.rng, median=60)
        pen.customer(at, "revoke", refers_to=message.id)
    return at


def tap(pen: Pen, at: int, *, text: str) -> int:
    pen.customer(at, "button", text)
    return at


def answer(pen: Pen, asked: int, agent: Agent | None, *, slower: float = 1.0) -> tuple[int, Agent]:
    """One or two messages of a person, after as much opening time as it takes."""
    first = agent is None
    if not pen.hours.is_open(asked):
        slower *= 3  # what came in overnight waits in a queue
    median = (5 if first else 2) * MINUTE * slower
    at = pen.hours.worked(asked, lasting(pen.rng, median=median, spread=1.1))
    if pen.window_is_shut(at):
        return reopen(pen, at, agent)
    if agent is None or at - asked > 4 * HOUR:
        agent = pen.on_shift(at)
    if first:
        pen.mark(at, "open", agent)
    message = pen.human(at, *_answer_kind(pen), agent=agent)
    if pen.rng.random() < 0.35:
        at += lasting(pen.rng, median=25)
        message = pen.human(at, "text", say(pen.rng, ANSWERS), agent=agent)
    if message.typed_on == "phone" and pen.rng.random() < 0.01:
        at += 30
        pen.human(at, "revoke", None, agent=agent, refers_to=message.id)
    return react(pen, message, at), agent


def _answer_kind(pen: Pen) -> tuple[str, str | None]:
    dice = pen.rng.random()
    if dice < 0.05:
        return "image", say(pen.rng, ANSWERS)
    if dice < 0.08:
        return "document", None
    if dice < 0.1:
        return "audio", None
    return "text", say(pen.rng, ANSWERS)


def react(pen: Pen, message: Message, at: int) -> int:
    """Some customers answer with no more than an emoji."""
    if pen.rng.random() < 0.03:
        at += lasting(pen.rng, median=MINUTE)
        pen.customer(at, "reaction", pen.rng.choice(EMOJI), refers_to=message.id)
    return at


def thank(pen: Pen, at: int, agent: Agent) -> int:
    """A thank-you, which the staff answers, likes or lets stand."""
    if pen.rng.random() < 0.4:
        return at
    at += min(lasting(pen.rng, median=2 * MINUTE), 10 * HOUR)
    thanks = pen.customer(at, text=say(pen.rng, THANKS))
    dice = pen.rng.random()
    later = pen.hours.worked(at, lasting(pen.rng, median=3 * MINUTE))
    if dice < 0.5 and not pen.window_is_shut(later):
        at = later
        pen.human(at, "text", say(pen.rng, WELCOMES), agent=agent)
    elif dice < 0.65:
        at += lasting(pen.rng, median=MINUTE)
        pen.human(at, "reaction", "❤️", agent=agent, refers_to=thanks.id)
    return at


def close(pen: Pen, at: int, agent: Agent | None) -> int:
    """Most talks are filed as resolved or closed some time later."""
    dice = pen.rng.random()
    if dice < 0.75:
        at = pen.hours.worked(at, lasting(pen.rng, median=20 * MINUTE))
        pen.mark(at, "resolved" if dice < 0.6 else "closed", agent)
    return at


def template_named(pen: Pen, name: str) -> str:
    return next(t.id for t in pen.book.templates.values() if t.name == name)


SCRIPTS: tuple[tuple[Script, float], ...] = (
    (chat, 0.55), (impatient, 0.11), (patient, 0.1), (ignored, 0.07), (too_late, 0.06),
    (notice, 0.06), (menu, 0.05),
)  # fmt: skip
IMPORTED_SCRIPTS: tuple[tuple[Script, float], ...] = (
    (chat, 0.7), (impatient, 0.1), (patient, 0.1), (ignored, 0.1),
)  # fmt: skip


def play(pen: Pen) -> int:
    """One conversation, from `pen.at` on; returns when it ends."""
    scripts = IMPORTED_SCRIPTS if pen.is_import else SCRIPTS
    script = pen.rng.choices([s for s, _ in scripts], [weight for _, weight in scripts])[0]
    if script is menu and not pen.has_bot:
        script = chat
    return script(pen, pen.at)
