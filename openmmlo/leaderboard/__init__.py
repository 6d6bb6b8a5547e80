"""Results with their predictions come in; marks, tables and pages that say where each number is from go out."""
