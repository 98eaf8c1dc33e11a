-- One row per call. The list has the last word; webhooks fill what it does not say yet, and tell of
-- calls that it has not brought.
{{ by(
    'call_id',
    notes=['identity_key'],
    before=[
        "{{ touch('call_id', this, 'call_id', key='network_call_id') }}",
        "{{ touch('call_id', rooms('calls'), 'call_id', key='network_call_id') }}",
        "{{ touch('call_id', this, 'call_id', column='network_call_id') }}",
        "{{ touch('call_id', rooms('calls'), 'call_id', column='network_call_id') }}",
    ],
    tags=['rows'],
) }}

with

listed as (

    {{ union_rooms('calls') }}

),

told as (

    select * from {{ ref('stg_webhooks__calls') }}

),

known as (

    select
        listed.provider,
        listed.account,
        listed.call_id,
        listed.network_call_id,
        coalesce(listed.channel_id, told.channel_id) as channel_id,
        listed.conversation_id,
        listed.contact_id,
        case when {{ names_nobody('listed') }} then told.phone else listed.phone end as phone,
        case when {{ names_nobody('listed') }} then told.bsuid else listed.bsuid end as bsuid,
        coalesce(listed.direction, told.direction) as direction,
        coalesce(listed.status, told.status) as status,
        coalesce(told.is_accepted, false) as is_accepted,
        coalesce(listed.duration_seconds, told.duration_seconds) as duration_seconds,
        coalesce(listed.started_at, told.started_at) as started_at,
        coalesce(listed.session_started_at, told.session_started_at) as session_started_at,
        coalesce(listed.ended_at, told.ended_at) as ended_at,
        listed.fetched_at
    from listed
    left join told
        on
            listed.provider = told.provider
            and listed.account = told.account
            and listed.network_call_id = told.network_call_id

),

fresh as (

    select told.*
    from told
    left join listed
        on
            told.provider = listed.provider
            and told.account = listed.account
            and told.network_call_id = listed.network_call_id
    where listed.call_id is null

),

calls as (

    select * from known
    union all
    select * from fresh

),

final as (

    select
        calls.*,
        {{ mart_key('calls', 'call_id') }} as call_key,
        {{ mart_key('calls', 'channel_id') }} as channel_key,
        {{ identity_key('calls') }} as identity_key
    from calls
    {{ where_touched('call_id') }}

)

select * from final
