"""From journalled patterns to maps: a pure function of journal, config and commands."""
