/** What tests in the extension host ask of the page around it: the two sides of one conversation over HTTP. */

export type PageQuestion =
  /** The text of each element that is to be seen. */
  | { readonly ask: 'texts'; readonly selector: string }
  /** The text of the page of each webview that is to be seen. */
  | { readonly ask: 'pages' }
  /** A click on the first element with a text. */
  | { readonly ask: 'click'; readonly selector: string; readonly text: string }
  /** Types into what has the focus. */
  | { readonly ask: 'type'; readonly text: string }
  | { readonly ask: 'press'; readonly key: string }
  /** When the side bar, pages of views included, last changed: milliseconds since 1970. */
  | { readonly ask: 'lastChange' }
  /** The result of a test. */
  | { readonly ask: 'report'; readonly name: string; readonly milliseconds: number; readonly error?: string }
  /** A line for the reader, such as a figure. */
  | { readonly ask: 'note'; readonly text: string }
  /** All tests have been reported. */
  | { readonly ask: 'end' }

/** Names of the environment variables by which a test finds what was made for it. */
export const BRIDGE = 'RINGSIDE_HOST_BRIDGE'
export const PROOFS = 'RINGSIDE_HOST_PROOFS'
/** A regular expression for the names of tests that are to run; absent for all. */
export const ONLY = 'RINGSIDE_HOST_ONLY'
/** The custom requests that the adapter serves. */
export const REQUESTS = 'RINGSIDE_HOST_REQUESTS'

export type PageAnswer = { readonly value: unknown } | { readonly error: string }
