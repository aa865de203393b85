/** The page of the translation, before its script fills it: nothing is loaded but the script and style of the package. */

export interface PageParts {
  /** Fresh for each page. */
  readonly nonce: string
  /** Where the webview gets the packaged files from. */
  readonly script: string
  readonly style: string
  readonly cspSource: string
}

export function pageHtml({ nonce, script, style, cspSource }: PageParts): string {
  const policy = `default-src 'none'; style-src ${cspSource}; script-src 'nonce-${nonce}'`
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Address translation</title>
</head>
<body>
<form id="question">
<label for="expression">Address or expression</label>
<input id="expression" type="text" spellcheck="false" autocomplete="off" placeholder="0x40010000, $rip, &amp;variable">
<label for="access">Access</label>
<select id="access"><option>read</option><option>write</option><option>execute</option></select>
<button type="submit">Translate</button>
</form>
<p id="status" role="status" aria-live="polite"></p>
<main id="walk"></main>
<details id="words" hidden><summary>In words</summary><pre id="text" tabindex="0"></pre></details>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>
`
}
