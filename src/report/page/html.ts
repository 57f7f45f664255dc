// How does text become HTML that says exactly that? Everything is escaped but what is HTML already.

/** HTML, ready to be put into a page. */
export class Html {
  constructor(readonly text: string) {}
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };

/** What would not be seen, or changes the order in which the rest is seen: controls, bidirectional marks, lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** Text as HTML, also within an attribute; characters that cannot be seen read `\u{202e}`. */
export function escapeHtml(text: string): string {
  return text
    .replace(UNSEEN, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
    .replace(/[&<>"']/g, (char) => ESCAPES[char]!);
}

export type Content = Html | string | number | false | undefined | readonly Content[];

function contentText(content: Content): string {
  if (content === undefined || content === false) return '';
  if (content instanceof Html) return content.text;
  if (typeof content === 'object') return content.map(contentText).join('');
  return escapeHtml(String(content));
}

/** A template whose holes are filled with escaped text; Html is taken as it is, lists one after the other. */
export function html(parts: TemplateStringsArray, ...holes: readonly Content[]): Html {
  let text = parts[0]!;
  holes.forEach((hole, i) => {
    text += contentText(hole) + parts[i + 1]!;
  });
  return new Html(text);
}

/** At most `most` characters of a text, with an ellipsis if there were more. */
export function cutText(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
