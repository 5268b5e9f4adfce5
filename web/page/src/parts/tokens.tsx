// Tokens shaded by activation; the value is told to pointer and keyboard, the peak is underlined, marks are framed.
import { useState } from "preact/hooks";
import { inLine, short, visible } from "../show";
import type { Token } from "../types";

/** Text from anywhere, kept from turning the direction of what stands beside it. */
export const Text = ({ text, raw }: { text: string; raw?: boolean }) => <bdi>{raw ? text : visible(text)}</bdi>;

interface Props { tokens: Token[]; max: number | null; peak?: number; newlines?: boolean; label?: string }

export function Tokens({ tokens, max, peak, newlines, label }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const top = max && max > 0 ? max : 1;
  const fired = tokens.flatMap((token, i) => (token.a ? [i] : []));
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step || fired.length === 0) return;
    event.preventDefault();
    const from = at === null ? -1 : fired.indexOf(at);
    setAt(fired[(from + step + fired.length) % fired.length]!);
  };
  const shown = at === null ? undefined : tokens[at];
  return (
    <div class="window" tabIndex={0} role="group" onKeyDown={move} onFocus={() => setAt(peak ?? fired[0] ?? null)} onBlur={() => setAt(null)}
         aria-label={`${label ?? "Window"}; arrow keys go through the tokens that fire`}>
      <p class="tokens" dir="auto">
        {tokens.map((token, i) => {
          const a = token.a ?? 0;
          const heat = Math.max(0, Math.min(1, a / top));
          const names = ["token", a > 0 && "hot", heat > 0.6 && "high", i === peak && "peak", token.m && "marked", token.partial && "partial", i === at && "at"];
          const breaks = newlines && token.t.includes("\n");
          return (
            <>
              <bdi class={names.filter(Boolean).join(" ")} style={a > 0 ? { "--heat": String(heat) } : undefined}
                   onPointerEnter={() => setAt(i)} onPointerLeave={() => setAt(null)}
                   title={`${visible(token.t)}  ${a > 0 ? a.toPrecision(4) : "silent"}${token.partial ? " (a part of a character)" : ""}`}>
                {inLine(token.t)}
              </bdi>
              {breaks && <br />}
            </>
          );
        })}
      </p>
      <p class="told" aria-live="polite">
        {shown && <><Text text={shown.t} /> <b>{shown.a ? short(shown.a) : "silent"}</b>{shown.m && " · marked"}{at === peak && " · peak"}</>}
      </p>
    </div>
  );
}
