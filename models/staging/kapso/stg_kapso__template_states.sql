{{ states_of_templates('kapso') }}
