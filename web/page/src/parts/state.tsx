// Loading, failed, missing: every view shows them the same way.
import type { ComponentChildren } from "preact";
import type { Asked, Fault } from "../api";

export function Failure({ fault, again }: { fault: Fault; again?: () => void }) {
  return (
    <div class="failure" role="alert">
      <p><strong>{fault.found}</strong></p>
      <dl>
        {fault.wanted && <><dt>wanted</dt><dd>{fault.wanted}</dd></>}
        {fault.where && <><dt>where</dt><dd><code>{fault.where}</code></dd></>}
        {fault.hint && <><dt>hint</dt><dd>{fault.hint}</dd></>}
      </dl>
      {again && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

export const Nothing = ({ children }: { children: ComponentChildren }) => <p class="nothing">{children}</p>;

/** What was asked for, once it is there; while new data come, the old stay, dimmed. */
export function Answer<T>({ asked, what, children }: { asked: Asked<T>; what: string; children: (data: T) => ComponentChildren }) {
  const { data, fault, loading, again } = asked;
  return (
    <div class={loading && data ? "stale" : undefined} aria-busy={loading}>
      <p class={loading && !data ? "loading" : "unseen"} role="status">{loading ? `Loading ${what} …` : ""}</p>
      {fault && !loading && <Failure fault={fault} again={again} />}
      {data !== undefined && children(data)}
    </div>
  );
}
