// Draws the charts of a page from the numbers that it carries.
"use strict";
