s/@text/#e6edf3/g
s/@quiet/#9198a1/g
s/@arrow/#9198a1/g
s/@line/#3d444d/g
s/@box/#151b23/g
s/@page/#0d1117/g
s/@fastline/#4493f8/g
s/@fast/#121d2f/g
