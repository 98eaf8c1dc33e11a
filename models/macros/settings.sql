{#
    Settings of this build, from a table: as dbt variables they would make dbt read the whole
    project anew on every build.
#}

{# The build's clock. #}
{% macro as_of() -%}
    (select build_settings.as_of from {{ source('intermediate', 'build_settings') }} as build_settings)
{%- endmacro %}


{# Zone of the days of channels without business hours. #}
{% macro default_timezone() -%}
    (select build_settings.timezone from {{ source('intermediate', 'build_settings') }} as build_settings)
{%- endmacro %}
