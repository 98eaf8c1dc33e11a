"""The raw tables of the Kapso room. Field lists: the room's README, with links and dates."""

from pipelines.provider import Table, fields

MEDIA_LINKS = (
    "kapso.media_url",
    "kapso.media_data.url",
    *(
        f"{kind}.{key}"
        for kind in ("image", "video", "audio", "document", "sticker")
        for key in ("url", "link")
    ),
)
"""Whoever holds one of these can fetch what the customer sent, without a key."""

PHONE_NUMBERS = Table(
    "phone_numbers",
    fields(
        "id",
        "phone_number_id",
        "internal_id",
        "name",
        "kind",
        "business_account_id",
        "customer_id",
        "display_name",
        "display_phone_number",
        "display_phone_number_normalized",
        "verified_name",
        "quality_rating",
        "throughput_tier",
        "whatsapp_business_manager_messaging_limit",
        "status",
        "name_status",
        "code_verification_status",
        "is_coexistence",
        "inbound_processing_enabled",
        "calls_enabled",
        "is_official_business_account",
        "is_pin_enabled",
        "webhook_verified_at",
        "created_at",
        "updated_at",
    ),
)

CONVERSATIONS = Table(
    "conversations",
    fields(
        "id",
        "phone_number",
        "phone_number_id",
        "status",
        "last_active_at",
        "created_at",
        "updated_at",
        "metadata",
        "business_scoped_user_id",
        "parent_business_scoped_user_id",
        "username",
        "whatsapp_config_id",
        kapso_contact_name="kapso.contact_name",
        kapso_messages_count="kapso.messages_count",
        kapso_last_message_id="kapso.last_message_id",
        kapso_last_message_type="kapso.last_message_type",
        kapso_last_message_timestamp="kapso.last_message_timestamp",
        kapso_last_message_text="kapso.last_message_text",
        kapso_last_inbound_at="kapso.last_inbound_at",
        kapso_last_outbound_at="kapso.last_outbound_at",
    ),
    links=("kapso.last_message_text",),
)

MESSAGES = Table(
    "messages",
    fields(
        "id",
        "timestamp",
        "type",
        "from",
        "to",
        "text",
        "context",
        "template",
        "reaction",
        "interactive",
        "referral",
        "errors",
        "original_message_id",
        "business_scoped_user_id",
        "parent_business_scoped_user_id",
        "username",
        "from_user_id",
        "from_parent_user_id",
        "to_user_id",
        "to_parent_user_id",
        kapso_direction="kapso.direction",
        kapso_status="kapso.status",
        kapso_processing_status="kapso.processing_status",
        kapso_origin="kapso.origin",
        kapso_phone_number="kapso.phone_number",
        kapso_phone_number_id="kapso.phone_number_id",
        kapso_has_media="kapso.has_media",
        kapso_whatsapp_conversation_id="kapso.whatsapp_conversation_id",
        kapso_contact_name="kapso.contact_name",
        kapso_content="kapso.content",
        kapso_statuses="kapso.statuses",
        kapso_message_type_data="kapso.message_type_data",
        kapso_transcript="kapso.transcript",
    ),
    secrets=MEDIA_LINKS,
    quotes=("kapso.content", "kapso.message_type_data"),
    links=("kapso.content",),
)

CONTACTS = Table(
    "contacts",
    fields(
        "id",
        "wa_id",
        "business_scoped_user_id",
        "parent_business_scoped_user_id",
        "username",
        "profile_name",
        "display_name",
        "customer_id",
        "metadata",
        "created_at",
        "updated_at",
    ),
)

CALLS = Table(
    "calls",
    fields(
        "id",
        "call_id",
        "direction",
        "status",
        "duration_seconds",
        "started_at",
        "ended_at",
        "session_started_at",
        "created_at",
        "updated_at",
        "user_wa_id",
        "business_scoped_user_id",
        "whatsapp_contact_id",
        "whatsapp_conversation_id",
        "project_id",
        "whatsapp_config_id",
        "config_display_name",
        "config_display_phone_number",
        "voice_agent_id",
        "voice_agent_name",
        "phone_number_id",
        "whatsapp_contact",
        "whatsapp_conversation",
    ),
)

TEMPLATES = Table(
    "templates",
    fields(
        "id",
        "name",
        "language",
        "status",
        "category",
        "previous_category",
        "components",
        "quality_score",
        "rejected_reason",
        "parameter_format",
        "last_updated_time",
        business_account_id="@business_account_id",
    ),
)

TEMPLATE_STATES = Table(
    "template_states",
    fields(
        "id",
        template_id="@template_id",
        name="@name",
        language="@language",
        category="@category",
        status="@status",
        quality="@quality",
        observed_from="@observed_from",
    ),
)
"""One row per version that a template was seen in: its list tells only the current one."""

ASSIGNMENTS = Table(
    "assignments",
    fields(
        "id",
        "user_id",
        "created_by_user_id",
        "notes",
        "active",
        "created_at",
        conversation_id="@conversation_id",
    ),
)

BROADCASTS = Table(
    "broadcasts",
    fields(
        "id",
        "name",
        "status",
        "phone_number_id",
        "whatsapp_config_id",
        "whatsapp_template",
        "scheduled_at",
        "started_at",
        "completed_at",
        "created_at",
        "updated_at",
        "total_recipients",
        "pending_count",
        "sent_count",
        "delivered_count",
        "read_count",
        "responded_count",
        "failed_count",
        "response_rate",
    ),
)

BROADCAST_RECIPIENTS = Table(
    "broadcast_recipients",
    fields(
        "id",
        "phone_number",
        "status",
        "sent_at",
        "delivered_at",
        "read_at",
        "responded_at",
        "failed_at",
        "error_message",
        "error_details",
        "template_components",
        "created_at",
        "updated_at",
        broadcast_id="@broadcast_id",
    ),
)

USERS = Table("users", fields("id", "user_id", "email", "name", "role", "created_at", "updated_at"))

CUSTOMERS = Table(
    "customers", fields("id", "name", "external_customer_id", "created_at", "updated_at")
)

WEBHOOKS = Table(
    "webhooks",
    fields(
        "id",
        "url",  # without its user info, query and fragment: they may hold a token
        "kind",
        "events",
        "active",
        "project_id",
        "phone_number_id",
        "payload_version",
        "buffer_enabled",
        "buffer_window_seconds",
        "max_buffer_size",
        "buffer_events",
        "inactivity_minutes",
        "created_at",
        "updated_at",
    ),
    secrets=("secret_key", "headers"),
)

WEBHOOK_DELIVERIES = Table(
    "webhook_deliveries",
    fields(
        "id",
        "event",
        "status",
        "attempt_count",
        "response_status",
        "created_at",
        "delivered_at",
        "failed_at",
        "last_attempt_at",
        "webhook_id",
        "whatsapp_config_id",
        "phone_number_id",
        "conversation_phone_number",
    ),
    secrets=("webhook_url",),
)

API_LOGS = Table(
    "api_logs",
    fields(
        "id",
        "endpoint",
        "http_method",
        "response_status",
        "response_time_ms",
        "created_at",
        "ip_address",
        "error_message",
        "api_key_id",
        "api_key_name",
    ),
)

CONTACT_NOTES = Table(
    "contact_notes",
    fields(
        "id", "name", "content", "metadata", "created_at", "updated_at", contact_id="@contact_id"
    ),
)

CALL_PERMISSIONS = Table(
    "call_permissions",
    fields(
        "id",
        "whatsapp_contact_id",
        "whatsapp_config_id",
        "config_display_name",
        "status",
        "source",
        "allowed",
        "expires_at",
        "last_event_message_id",
        "last_event_at",
        "created_at",
        "updated_at",
    ),
)

RESOURCES = (
    PHONE_NUMBERS,
    CONVERSATIONS,
    MESSAGES,
    CONTACTS,
    CALLS,
    TEMPLATES,
    BROADCASTS,
    BROADCAST_RECIPIENTS,
    USERS,
    CUSTOMERS,
    WEBHOOKS,
    WEBHOOK_DELIVERIES,
    ASSIGNMENTS,
    CONTACT_NOTES,
    CALL_PERMISSIONS,
    API_LOGS,
)

TABLES = (*RESOURCES, TEMPLATE_STATES)

OPT_IN = frozenset(table.name for table in (ASSIGNMENTS, CONTACT_NOTES, CALL_PERMISSIONS, API_LOGS))
"""Read only when named: one request per parent, or a log of requests that ours fill."""
