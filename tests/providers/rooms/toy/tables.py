"""The raw tables of the toy room."""

from pipelines.provider import Table, fields

CONVERSATIONS = Table(
    "conversations",
    fields("id", "contact_id", "channel_id", "status", "created_at", "changed_at"),
)
MESSAGES = Table(
    "messages",
    fields("id", "conversation_id", "direction", "author", "text", "status", "changed_at"),
    secrets=("file.link",),
)
CONTACTS = Table("contacts", fields("id", "name", "phone", "changed_at"))
TEMPLATES = Table("templates", fields("id", "name", "language", "changed_at"))

TABLES = (CONVERSATIONS, MESSAGES, CONTACTS, TEMPLATES)
