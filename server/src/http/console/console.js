// Pages work without this. It asks again for what a page waits for, prints on a press, and asks passkeys.
"use strict";
for (const live of document.querySelectorAll("[data-live]")) {
  const ask = async () => {
    try {
      const answer = await fetch(live.dataset.live, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[data-live]");
        if (fresh && fresh.innerHTML !== live.innerHTML) live.innerHTML = fresh.innerHTML;
        if (!fresh || fresh.dataset.over !== undefined) return;
      }
    } catch { /* Asked again. */ }
    setTimeout(ask, 3000);
  };
  setTimeout(ask, 3000);
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
// Passkeys: asks this server for a challenge, the browser for an answer to it, and puts that into the form.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const answerOf = {
  get: async (options) => {
    const key = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
    const { authenticatorData, clientDataJSON, signature, userHandle } = key.response;
    return {
      id: key.id,
      authenticatorData: text(authenticatorData),
      clientDataJSON: text(clientDataJSON),
      signature: text(signature),
      userHandle: userHandle && text(userHandle),
      clientExtensionResults: {},
      type: key.type,
    };
  },
  create: async (options) => {
    const key = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: options.excludeCredentials.map(({ id, type }) => ({ id: bytes(id), type })),
      },
    });
    return {
      attestationObject: text(key.response.attestationObject),
      clientDataJSON: text(key.response.clientDataJSON),
      clientExtensionResults: {},
      transports: [],
      type: key.type,
    };
  },
};
const why = (error) =>
  ({
    InvalidStateError: "This key was added before.",
    NotAllowedError: "The key did not answer, or you said no. Try again, or use a code.",
    SecurityError: "Keys work only where the browser trusts this page and its address is the console's own. Use a code.",
  })[error.name] ?? error.message;
for (const button of document.querySelectorAll("[data-passkey]")) {
  const form = button.form;
  const says = form.querySelector("[data-says]");
  const tell = (words) => {
    says.textContent = words;
    says.hidden = false;
  };
  if (!window.PublicKeyCredential) {
    form.querySelector("[data-without]").textContent = "This browser knows no passkeys here. Use a code.";
    continue;
  }
  form.querySelector("[data-without]").remove();
  button.hidden = false;
  const [answer, code] = [form.elements.passkey, form.elements.code];
  // Whoever types a code after all means the code.
  if (code) {
    code.addEventListener("input", () => {
      answer.value = "";
      code.required = true;
    });
  }
  button.addEventListener("click", async () => {
    if (code) code.required = false;
    if (button.dataset.ready === undefined && !form.reportValidity()) {
      if (code) code.required = true;
      return;
    }
    button.disabled = true;
    says.hidden = true;
    try {
      const asked = await fetch(button.dataset.options, { credentials: "same-origin", redirect: "error" });
      const options = await asked.json();
      if (!asked.ok) throw new Error(options.message);
      answer.value = JSON.stringify(await answerOf[button.dataset.passkey](options));
      if (code) code.value = "";
      if (button.dataset.ready === undefined) form.requestSubmit();
      else tell(button.dataset.ready);
    } catch (error) {
      answer.value = "";
      if (code) code.required = true;
      tell(why(error));
    }
    button.disabled = false;
  });
}
