/** Values that survive JSON: the form of all saved state. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
