"""Tag lists that other products export, as tables and a configuration of ours."""
