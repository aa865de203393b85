/** A configuration that a person wrote and that can't be: the message says what is wrong and what is possible. */
export class ConfigurationError extends Error {}
