"""The four verbs, one module each; none imports another: extract, enrich, build, deliver."""
