"""Many recipes and seeds come in; one resumable run of them, its tables and its plots go out."""
