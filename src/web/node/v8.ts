/** `node:v8` of the browser's bundle: a page can't choose how the browser compiles. */

export function setFlagsFromString(_flags: string): void {}
