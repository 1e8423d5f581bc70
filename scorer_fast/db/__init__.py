"""Every statement this app sends, one module per family of tables: row class, constant, function side by side."""
