/** An expression that can't be read, has no meaning here, or no value; the message says what and what is possible. */
export class ExpressionError extends Error {}
