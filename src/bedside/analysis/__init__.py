"""What looks at a whole collection: annotation, clusters, duplicates and maps."""
