{# What somebody wrote in a message of Kapso's list: text, caption, or what a template came out as. A
   caption may stand in the media object alone, which has no column. #}
{% macro kapso_text() -%}
    {%- set kind = lowered('"type"') -%}
    {%- set media = "(case when " ~ kind ~ " in ('image', 'video', 'document') then " ~ to_json('payload') ~ " end)" -%}
    coalesce(
        {{ json_text(to_json('"text"'), ['body']) }},
        {{ json_text(to_json('kapso_message_type_data'), ['caption']) }},
        {{ json_text(media, ['image', 'caption']) }},
        {{ json_text(media, ['video', 'caption']) }},
        {{ json_text(media, ['document', 'caption']) }},
        case when {{ kind }} = 'template' then {{ clean('kapso_content') }} end
    )
{%- endmacro %}
