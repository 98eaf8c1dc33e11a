{#
    The schema is the folder: staging, intermediate or marts. Seeds are read by intermediate models.
    On Postgres readers look at `marts` all the time: a build makes them in `marts_next`, and the
    publication moves them.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set folder = node.original_file_path.replace('\\', '/').split('/')[0] -%}
    {%- set folder = 'marts_next' if folder == 'marts' and target.type == 'postgres' else folder -%}
    {{ 'intermediate' if node.resource_type == 'seed' else folder }}
{%- endmacro %}
