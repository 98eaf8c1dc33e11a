"""The raw tables of the Waspy room. Field lists: the room's README, with links and dates."""

from pipelines.provider import Table, fields

CONVERSATIONS = Table(
    "conversations",
    fields(
        "id",
        "status",
        "contact",
        contact_id="contactId",
        phone_number_id="phoneNumberId",
        assigned_to="assignedTo",
        last_message_at="lastMessageAt",
        last_message_preview="lastMessagePreview",
        last_message_direction="lastMessageDirection",
        last_message_status="lastMessageStatus",
        service_window_expires_at="serviceWindowExpiresAt",
        unread_count="unreadCount",
        created_at="createdAt",
    ),
)

MESSAGE_STATES = Table("message_states", fields("id", message_id="@message_id", status="@status"))
"""One row per status that a message was seen with before the one that its row tells."""

MESSAGES = Table(
    "messages",
    fields(
        "id",
        "direction",
        "type",
        "content",
        "status",
        "origin",
        "metadata",
        conversation_id="conversationId",
        contact_id="contactId",
        phone_number_id="phoneNumberId",
        wa_message_id="waMessageId",
        error_code="errorCode",
        error_message="errorMessage",
        sent_by_ai="sentByAi",
        campaign_id="campaignId",
        media_id="mediaId",
        template_name_snapshot="templateNameSnapshot",
        created_at="createdAt",
        position="@position",
    ),
    secrets=("mediaKey", "content.url", "content.link.url"),
    former=MESSAGE_STATES,
)

CONTACTS = Table(
    "contacts",
    fields(
        "id",
        "name",
        "email",
        "tags",
        phone_number="phoneNumber",
        custom_fields="customFields",
        opted_in="optedIn",
        last_message_at="lastMessageAt",
        created_at="createdAt",
    ),
)

TEMPLATES = Table(
    "templates",
    fields(
        "id",
        "name",
        "language",
        "category",
        "status",
        "components",
        created_at="createdAt",
        updated_at="updatedAt",
    ),
)

CHANNELS = Table(
    "channels",
    fields(
        "id",
        "name",
        "status",
        phone_number="phoneNumber",
        display_name="displayName",
        quality_rating="qualityRating",
        waba_id="wabaId",
        created_at="createdAt",
    ),
)

MESSAGE_CURSORS = Table(
    "message_cursors",
    fields(
        "id",
        cursor="@cursor",
        position="@position",
        conversation_mark="@conversation_mark",
        synced_to="@synced_to",
        attempts="@attempts",
        checkpoints="@checkpoints",
    ),
    holds_people=False,
)
"""One row per conversation: where its oldest-first message list was read to."""

CONVERSATION_STATES = Table(
    "conversation_states",
    fields(
        "id",
        conversation_id="@conversation_id",
        status="@status",
        assigned_to="@assigned_to",
        observed_from="@observed_from",
    ),
    holds_people=False,
)
"""One row per status and assignee that a conversation was seen with. The API tells neither when
they changed nor what they were before: only what a sync saw, and when it first saw it."""

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
    holds_people=False,
)
"""One row per version that a template was seen in: its list tells only the current one."""

TABLES = (
    CONVERSATIONS,
    MESSAGES,
    MESSAGE_STATES,
    CONTACTS,
    TEMPLATES,
    CHANNELS,
    MESSAGE_CURSORS,
    CONVERSATION_STATES,
    TEMPLATE_STATES,
)

RESOURCES = (CONVERSATIONS, MESSAGES, CONTACTS, TEMPLATES, CHANNELS)
