{{ states_of_templates('waspy') }}
