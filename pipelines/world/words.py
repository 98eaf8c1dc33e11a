"""What people say. All of it made up."""

from __future__ import annotations

from random import Random

PRODUCTS = (
    "mate imperial", "yerbera de cuero", "termo de acero", "bombilla de alpaca", "poncho salteño",
    "set matero", "alfajores surtidos", "manta de llama", "cuchillo criollo", "dulce de leche",
)  # fmt: skip
GREETINGS = ("Hola!", "Buenas", "Hola, ¿cómo están?", "Buen día", "Buenas tardes 👋", "hola")
QUESTIONS = (
    "¿Tienen {product}?", "¿Cuánto sale el {product}?", "¿Hacen envíos a {city}?",
    "Quería consultar por el pedido {order}", "¿Hasta qué hora están hoy?",
    "¿Puedo pagar con transferencia?", "El {product} me llegó roto 😕", "¿Me hacen factura A?",
    "¿Cuánto tarda el envío a {city}?", "¿Hay descuento por cantidad?",
    "Necesito cambiar el {product} por otro color", "¿Sigue la promo de {product}?",
)  # fmt: skip
FOLLOW_UPS = (
    "Dale, ¿y el envío?", "¿Y en otro color?", "Perfecto, lo quiero", "¿Me pasás el alias?",
    "Ya transferí, te mando el comprobante", "¿Llega para el viernes?", "Mmm, lo pienso",
    "¿Y por 2 unidades?", "Buenísimo", "No me queda claro, ¿me explicás?",
)  # fmt: skip
NUDGES = (
    "?",
    "hola??",
    "¿Hay alguien?",
    "Me pueden responder?",
    "???",
    "Sigo esperando…",
    "Hola!!",
)
THANKS = ("Gracias!", "Muchas gracias 🙌", "Genial, gracias", "Mil gracias!!", "👍 gracias")
ANSWERS = (
    "¡Hola! Sí, tenemos stock de {product}.", "Sale ${price}, con 10 % off por transferencia.",
    "Hacemos envíos a {city}, tarda entre 3 y 5 días.", "Tu pedido {order} ya está en camino 🚚",
    "Estamos de 9 a 13 y de 14 a 18.", "Sí, te paso los datos para transferir.",
    "Uy, disculpá. Mandanos una foto y te lo cambiamos.", "Claro, pasame el CUIT y te la hago.",
    "Te reservo el {product} hasta mañana.", "Dejame consultarlo y te confirmo.",
)  # fmt: skip
WELCOMES = ("¡De nada! Cualquier cosa escribinos.", "A vos 😊", "¡Gracias a vos! Que lo disfrutes.")
APOLOGIES = (
    "¡Hola! Perdón por la demora, ¿seguís interesado en el {product}?",
    "Hola, recién vemos tu mensaje 🙏",
)
CALL_BACKS = ("¡Hola! Vimos tu llamada, ¿en qué te ayudamos?", "Hola, te llamamos en un rato.")
BOT_OPEN = "¡Hola! Soy el asistente de la tienda 🤖 En unos minutos te responde una persona."
BOT_SHUT = "¡Hola! Ahora estamos cerrados. Te respondemos de 9 a 13 y de 14 a 18 🕘"
BOT_MENU = "¿Sobre qué querés consultar?"
MENU = ("Comprar", "Mi pedido", "Cambios")
EMOJI = ("👍", "❤️", "😂", "🙏", "😮", "🔥")
CITIES = ("Rosario", "Córdoba", "Mendoza", "Salta", "Neuquén", "Ushuaia", "Posadas", "Tandil")


def say(rng: Random, lines: tuple[str, ...]) -> str:
    """One of the lines, its blanks filled in."""
    line = lines[int(rng.random() * len(lines))]
    if "{" not in line:
        return line
    return line.format(
        product=PRODUCTS[int(rng.random() * len(PRODUCTS))],
        city=CITIES[int(rng.random() * len(CITIES))],
        order=f"#{int(rng.random() * 9000) + 1000}",
        price=(int(rng.random() * 80) + 5) * 500,
    )
