-- What was written, for whoever may read it. A view: no table that is built holds a text.
{{ config(materialized='view') }}

{{ union_rooms('message_texts') }}
