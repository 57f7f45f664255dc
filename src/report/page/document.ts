// Which document is a page? One file that needs nothing else, asks nobody for anything, and runs no script but its own.

import { createHash } from 'node:crypto';
import { Html, html } from './html.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** A page with this title and body. */
export function documentText(title: string, body: Html): string {
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(SCRIPT)}`,
    `style-src ${hashOf(STYLE)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${body}<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}
