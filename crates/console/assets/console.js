// Makes pages live. Everything works without it.
"use strict";
