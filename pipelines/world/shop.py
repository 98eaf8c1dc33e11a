"""The shop that never was: its numbers, staff and templates."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from pipelines.world.things import Agent, Category, Channel, Opening, Template

TIMEZONE = "America/Argentina/Buenos_Aires"
NINE, ONE, TWO, SIX = 9 * 60, 13 * 60, 14 * 60, 18 * 60
WEEKDAYS = tuple(
    Opening(day, start, end) for day in range(5) for start, end in ((NINE, ONE), (TWO, SIX))
)
WEEKDAYS_AND_SATURDAY = (*WEEKDAYS, Opening(5, 9 * 60 + 30, ONE))


def channels(*, starts_at: datetime, ends_at: datetime) -> tuple[Channel, ...]:
    """Three numbers: one with a bot, one that also takes calls, one that brought its history."""
    moved_in = starts_at + (ends_at - starts_at) * 0.08
    sales = Channel(
        id="ventas",
        name="Ventas",
        phone="+5491155500001",
        timezone=TIMEZONE,
        connected_at=starts_at,
        hours=WEEKDAYS_AND_SATURDAY,
        address_book="ventas",
        has_bot=True,
        has_phone_app=True,
        has_calls=False,
        quality="GREEN",
        share=0.5,
    )
    service = replace(
        sales,
        id="posventa",
        name="Posventa",
        phone="+5491155500002",
        hours=WEEKDAYS,
        address_book="posventa",
        has_bot=False,
        has_phone_app=False,
        has_calls=True,
        share=0.3,
    )
    wholesale = replace(
        service,
        id="mayorista",
        name="Mayorista",
        phone="+5493515550003",
        connected_at=moved_in,
        address_book="ventas",
        has_phone_app=True,
        quality="YELLOW",
        share=0.2,
    )
    return sales, service, wholesale


def agents() -> tuple[Agent, ...]:
    """Who works there: mornings, afternoons, and two who stay all day."""
    morning, afternoon, all_day = (NINE, TWO), (ONE, SIX), (NINE, SIX)
    staff = (
        ("Lucía Benítez", "member", ("ventas",), morning),
        ("Tomás Aguirre", "member", ("ventas",), afternoon),
        ("Camila Duarte", "member", ("ventas", "posventa"), all_day),
        ("Joaquín Peralta", "member", ("posventa",), morning),
        ("Sofía Maldonado", "member", ("posventa",), afternoon),
        ("Ramiro Ledesma", "admin", ("mayorista",), all_day),
        ("Valentina Ríos", "owner", ("mayorista", "ventas"), morning),
    )
    return tuple(
        Agent(
            id=f"agent-{number}",
            name=name,
            email=f"agente{number}@tienda.example",
            role=role,
            channel_ids=channel_ids,
            shift=shift,
        )
        for number, (name, role, channel_ids, shift) in enumerate(staff, start=1)
    )


def templates(*, starts_at: datetime) -> tuple[Template, ...]:
    """What Meta approved, and what it did not."""
    rows: tuple[tuple[str, str, Category, str, str, str, tuple[str, ...]], ...] = (
        ("promo_semana", "es_AR", "MARKETING", "APPROVED", "GREEN",
         "¡Hola {{1}}! Esta semana 20 % off en toda la tienda 🧉", ("Ver promo", "No recibir más")),
        ("vuelta_clientes", "es_AR", "MARKETING", "APPROVED", "YELLOW",
         "{{1}}, te extrañamos. Tenés un envío gratis esperándote.", ("Quiero",)),
        ("pedido_en_camino", "es_AR", "UTILITY", "APPROVED", "GREEN",
         "Hola {{1}}, tu pedido {{2}} ya está en camino.", ()),
        ("retomar_consulta", "es_AR", "UTILITY", "APPROVED", "GREEN",
         "Hola {{1}}, perdón por la demora. ¿Seguimos con tu consulta?", ("Sí", "Ya no")),
        ("retomar_consulta", "pt_BR", "UTILITY", "APPROVED", "UNKNOWN",
         "Olá {{1}}, desculpe a demora. Continuamos?", ("Sim", "Não")),
        ("codigo_acceso", "es_AR", "AUTHENTICATION", "PAUSED", "RED",
         "{{1}} es tu código de verificación.", ()),
        ("sorteo_verano", "es_AR", "MARKETING", "REJECTED", "UNKNOWN",
         "¡Participá del sorteo, {{1}}!", ()),
    )  # fmt: skip
    return tuple(
        Template(
            id=str(910_000_000_000_000 + number),
            name=name,
            language=language,
            category=category,
            status=status,
            quality=quality,
            body=body,
            footer="Tienda Doble Tilde" if category == "MARKETING" else None,
            buttons=buttons,
            created_at=starts_at - timedelta(days=60 - number),
        )
        for number, (name, language, category, status, quality, body, buttons) in enumerate(rows)
    )
