"""Question template packs, one YAML file each; `earshot.prompts.packs` reads them."""
