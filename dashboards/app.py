"""The script that Streamlit runs for each viewer and each change."""

from dashboards.frame import main

main()
