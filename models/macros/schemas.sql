{# The schema is the folder: staging, intermediate or marts. Seeds are read by intermediate models. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set folder = node.original_file_path.replace('\\', '/').split('/')[0] -%}
    {{ 'intermediate' if node.resource_type == 'seed' else folder }}
{%- endmacro %}
