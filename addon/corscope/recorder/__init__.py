"""Records what real browsers do with the lab, in .mitm and HAR, scores verdicts against it, and takes pictures."""
