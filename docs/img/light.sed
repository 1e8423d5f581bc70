s/@text/#24292f/g
s/@quiet/#57606a/g
s/@arrow/#57606a/g
s/@line/#afb8c1/g
s/@box/#f6f8fa/g
s/@page/#ffffff/g
s/@fastline/#0969da/g
s/@fast/#ddf4ff/g
