// A classic script, deferred: marks the page one is on, and says how old the tide table is.
(function () {
  var here = location.pathname.replace(/index\.html$/, '');
  document.querySelectorAll('.top a').forEach(function (link) {
    if (new URL(link.href).pathname.replace(/index\.html$/, '') === here) link.setAttribute('aria-current', 'page');
  });
})();
