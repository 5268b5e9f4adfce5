// Fields that write themselves into the address.
import { useEffect, useState } from "preact/hooks";
import { setQuery } from "../route";

interface FieldProps { name: string; label: string; value: string; type?: string; placeholder?: string; step?: string; wide?: boolean; id?: string; title?: string; also?: Record<string, string> }

/** Goes into the address a moment after the last key, or at Enter; `also` are other fields that change with it. */
export function Field({ name, label, value, type = "text", placeholder, step, wide, id, title, also }: FieldProps) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const go = () => setQuery({ [name]: text, offset: "", ...also }, true);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(go, 350);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <label class={wide ? "wide" : undefined} title={title}>
      <span>{label}</span>
      <input id={id} type={type} step={step} value={text} placeholder={placeholder} autocomplete="off" spellcheck={false}
             onInput={(e) => setText(e.currentTarget.value)}
             onKeyDown={(e) => {
               if (e.key === "Enter") go();
               if (e.key === "Escape") e.currentTarget.blur();
             }} />
    </label>
  );
}

interface ChoiceProps { label: string; value: string; options: readonly (string | readonly [string, string])[]; change: (value: string) => void }

export function Choice({ label, value, options, change }: ChoiceProps) {
  return (
    <label>
      <span>{label}</span>
      <select value={value} onChange={(e) => change(e.currentTarget.value)}>
        {options.map((option) => {
          const [key, text] = typeof option === "string" ? [option, option] : option;
          return <option value={key} selected={key === value}>{text}</option>;
        })}
      </select>
    </label>
  );
}

/** Also where the browser gives no clipboard: at an address without TLS that is not this machine. */
async function toClipboard(text: string) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

/** A button that copies; says whether it could. */
export function Copy({ label, text }: { label: string; text: () => string }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSaid(""), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = () => toClipboard(text()).then(() => setSaid("copied"), () => setSaid("the browser forbids copying"));
  return <button type="button" onClick={copy} aria-live="polite">{said || label}</button>;
}
